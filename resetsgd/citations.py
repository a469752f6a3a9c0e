"""Where formulas come from, as BibTeX.

Keys are first author, year, and a word of the title where that is not enough; a passage time names
its own in ``sources`` and prints them by ``cite()``. One entry a work, in alphabetical order.
"""

from __future__ import annotations

from collections.abc import Iterable

from resetsgd.errors import DomainError

__all__ = ["bibtex"]

_ENTRIES = {
    "agarwal2022": """\
@inproceedings{agarwal2022,
  author    = {Agarwal, Chirag and D'souza, Daniel and Hooker, Sara},
  title     = {Estimating Example Difficulty Using Variance of Gradients},
  booktitle = {Conference on Computer Vision and Pattern Recognition},
  year      = {2022},
  eprint    = {2008.11600}
}""",
    "alabdulmohsin2021": """\
@misc{alabdulmohsin2021,
  author = {Alabdulmohsin, Ibrahim and Maennel, Hartmut and Keysers, Daniel},
  title  = {The Impact of Reinitialization on Generalization in Convolutional Neural Networks},
  year   = {2021},
  eprint = {2109.00267}
}""",
    "alpaydin1998": """\
@misc{alpaydin1998,
  author    = {Alpaydin, Ethem and Kaynak, Cenk},
  title     = {Optical Recognition of Handwritten Digits},
  publisher = {UCI Machine Learning Repository},
  year      = {1998},
  doi       = {10.24432/C50P49}
}""",
    "arpit2017": """\
@inproceedings{arpit2017,
  author    = {Arpit, Devansh and others},
  title     = {A Closer Look at Memorization in Deep Networks},
  booktitle = {International Conference on Machine Learning},
  year      = {2017},
  eprint    = {1706.05394}
}""",
    "bae2025": """\
@article{bae2025,
  author  = {Bae, Youngkyoung and Song, Yeongwoo and Jeong, Hawoong},
  title   = {Stochastic Resetting Mitigates Latent Gradient Bias of {SGD} from Label Noise},
  journal = {Machine Learning: Science and Technology},
  volume  = {6},
  pages   = {015062},
  year    = {2025},
  eprint  = {2406.00396}
}""",
    "damian2021": """\
@inproceedings{damian2021,
  author    = {Damian, Alex and Ma, Tengyu and Lee, Jason D.},
  title     = {Label Noise {SGD} Provably Prefers Flat Global Minimizers},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {34},
  year      = {2021},
  eprint    = {2106.06530}
}""",
    "evans2011": """\
@article{evans2011,
  author  = {Evans, Martin R. and Majumdar, Satya N.},
  title   = {Diffusion with Stochastic Resetting},
  journal = {Physical Review Letters},
  volume  = {106},
  pages   = {160601},
  year    = {2011},
  doi     = {10.1103/PhysRevLett.106.160601}
}""",
    "evans2014": """\
@article{evans2014,
  author  = {Evans, Martin R. and Majumdar, Satya N.},
  title   = {Diffusion with Resetting in Arbitrary Spatial Dimension},
  journal = {Journal of Physics A: Mathematical and Theoretical},
  volume  = {47},
  pages   = {285001},
  year    = {2014},
  doi     = {10.1088/1751-8113/47/28/285001}
}""",
    "evans2018": """\
@article{evans2018,
  author  = {Evans, Martin R. and Majumdar, Satya N.},
  title   = {Run and Tumble Particle under Resetting: A Renewal Approach},
  journal = {Journal of Physics A: Mathematical and Theoretical},
  volume  = {51},
  pages   = {475003},
  year    = {2018},
  doi     = {10.1088/1751-8121/aae74e}
}""",
    "evans2020": """\
@article{evans2020,
  author  = {Evans, Martin R. and Majumdar, Satya N. and Schehr, Gr{\\'e}gory},
  title   = {Stochastic Resetting and Applications},
  journal = {Journal of Physics A: Mathematical and Theoretical},
  volume  = {53},
  pages   = {193001},
  year    = {2020},
  doi     = {10.1088/1751-8121/ab7cfe}
}""",
    "foret2021": """\
@inproceedings{foret2021,
  author    = {Foret, Pierre and Kleiner, Ariel and Mobahi, Hossein and Neyshabur, Behnam},
  title     = {Sharpness-Aware Minimization for Efficiently Improving Generalization},
  booktitle = {International Conference on Learning Representations},
  year      = {2021},
  eprint    = {2010.01412}
}""",
    "forouzesh2023": """\
@inproceedings{forouzesh2023,
  author    = {Forouzesh, Mahsa and Sedghi, Hanie and Thiran, Patrick},
  title     = {Leveraging Unlabeled Data to Track Memorization},
  booktitle = {International Conference on Learning Representations},
  year      = {2023},
  eprint    = {2212.04461}
}""",
    "gardiner2004": """\
@book{gardiner2004,
  author    = {Gardiner, Crispin W.},
  title     = {Handbook of Stochastic Methods for Physics, Chemistry and the Natural Sciences},
  edition   = {3},
  publisher = {Springer},
  address   = {Berlin},
  year      = {2004}
}""",
    "ghosh2017": """\
@inproceedings{ghosh2017,
  author    = {Ghosh, Aritra and Kumar, Himanshu and Sastry, P. S.},
  title     = {Robust Loss Functions under Label Noise for Deep Neural Networks},
  booktitle = {AAAI Conference on Artificial Intelligence},
  year      = {2017},
  eprint    = {1712.09482}
}""",
    "han2018": """\
@inproceedings{han2018,
  author    = {Han, Bo and Yao, Quanming and Yu, Xingrui and Niu, Gang and Xu, Miao and Hu, Weihua
               and Tsang, Ivor and Sugiyama, Masashi},
  title     = {Co-teaching: Robust Training of Deep Neural Networks with Extremely Noisy Labels},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {31},
  year      = {2018},
  eprint    = {1804.06872}
}""",
    "he2016": """\
@inproceedings{he2016,
  author    = {He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing and Sun, Jian},
  title     = {Deep Residual Learning for Image Recognition},
  booktitle = {Conference on Computer Vision and Pattern Recognition},
  year      = {2016},
  eprint    = {1512.03385}
}""",
    "izmailov2018": """\
@inproceedings{izmailov2018,
  author    = {Izmailov, Pavel and Podoprikhin, Dmitrii and Garipov, Timur and Vetrov, Dmitry and
               Wilson, Andrew Gordon},
  title     = {Averaging Weights Leads to Wider Optima and Better Generalization},
  booktitle = {Conference on Uncertainty in Artificial Intelligence},
  year      = {2018},
  eprint    = {1803.05407}
}""",
    "keidar2024": """\
@misc{keidar2024,
  author = {Keidar, Tommer D. and Reuveni, Shlomi},
  title  = {Universal Linear Response of First-Passage Kinetics: A Framework for Prediction and
            Inference},
  year   = {2024},
  eprint = {2410.16129}
}""",
    "ki2023": """\
@inproceedings{ki2023,
  author    = {Ki, Nohyun and Choi, Hoyong and Chung, Hye Won},
  title     = {Data Valuation Without Training of a Model},
  booktitle = {International Conference on Learning Representations},
  year      = {2023},
  eprint    = {2301.00930}
}""",
    "kobayashi2020": """\
@inproceedings{kobayashi2020,
  author    = {Kobayashi, Sosuke and Yokoi, Sho and Suzuki, Jun and Inui, Kentaro},
  title     = {Efficient Estimation of Influence of a Training Instance},
  booktitle = {Workshop on Simple and Efficient Natural Language Processing},
  pages     = {41--47},
  year      = {2020},
  eprint    = {2012.04207}
}""",
    "krizhevsky2009": """\
@techreport{krizhevsky2009,
  author      = {Krizhevsky, Alex},
  title       = {Learning Multiple Layers of Features from Tiny Images},
  institution = {University of Toronto},
  year        = {2009}
}""",
    "kusmierz2014": """\
@article{kusmierz2014,
  author  = {Kusmierz, Lukasz and Majumdar, Satya N. and Sabhapandit, Sanjib and Schehr, Gregory},
  title   = {First Order Transition for the Optimal Search Time of L{\\'e}vy Flights with
             Resetting},
  journal = {Physical Review Letters},
  volume  = {113},
  pages   = {220602},
  year    = {2014},
  doi     = {10.1103/PhysRevLett.113.220602}
}""",
    "lecun1998": """\
@article{lecun1998,
  author  = {LeCun, Yann and Bottou, L{\\'e}on and Bengio, Yoshua and Haffner, Patrick},
  title   = {Gradient-Based Learning Applied to Document Recognition},
  journal = {Proceedings of the IEEE},
  volume  = {86},
  pages   = {2278--2324},
  year    = {1998},
  doi     = {10.1109/5.726791}
}""",
    "liu2020": """\
@inproceedings{liu2020,
  author    = {Liu, Sheng and Niles-Weed, Jonathan and Razavian, Narges and Fernandez-Granda,
               Carlos},
  title     = {Early-Learning Regularization Prevents Memorization of Noisy Labels},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {33},
  year      = {2020},
  eprint    = {2007.00151}
}""",
    "liu2023": """\
@misc{liu2023,
  author = {Liu, Chaoyue and Abedsoltan, Amirhesam and Belkin, Mikhail},
  title  = {On Emergence of Clean-Priority Learning in Early Stopped Neural Networks},
  year   = {2023},
  eprint = {2306.02533}
}""",
    "loshchilov2017": """\
@inproceedings{loshchilov2017,
  author    = {Loshchilov, Ilya and Hutter, Frank},
  title     = {{SGDR}: Stochastic Gradient Descent with Warm Restarts},
  booktitle = {International Conference on Learning Representations},
  year      = {2017},
  eprint    = {1608.03983}
}""",
    "malach2017": """\
@inproceedings{malach2017,
  author    = {Malach, Eran and Shalev-Shwartz, Shai},
  title     = {Decoupling "When to Update" from "How to Update"},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {30},
  year      = {2017},
  eprint    = {1706.02613}
}""",
    "mccandlish2018": """\
@misc{mccandlish2018,
  author = {McCandlish, Sam and Kaplan, Jared and Amodei, Dario and others},
  title  = {An Empirical Model of Large-Batch Training},
  year   = {2018},
  eprint = {1812.06162}
}""",
    "mindermann2022": """\
@inproceedings{mindermann2022,
  author    = {Mindermann, S{\\"o}ren and Brauner, Jan and Razzak, Muhammed and Sharma, Mrinank and
               Kirsch, Andreas and Xu, Winnie and H{\\"o}ltgen, Benedikt and Gomez, Aidan N. and
               Morisot, Adrien and Farquhar, Sebastian and Gal, Yarin},
  title     = {Prioritized Training on Points that are Learnable, Worth Learning, and Not Yet
               Learnt},
  booktitle = {International Conference on Machine Learning},
  year      = {2022},
  eprint    = {2206.07137}
}""",
    "northcutt2021": """\
@article{northcutt2021,
  author  = {Northcutt, Curtis G. and Jiang, Lu and Chuang, Isaac L.},
  title   = {Confident Learning: Estimating Uncertainty in Dataset Labels},
  journal = {Journal of Artificial Intelligence Research},
  volume  = {70},
  pages   = {1373--1411},
  year    = {2021},
  doi     = {10.1613/jair.1.12125}
}""",
    "pal2015": """\
@article{pal2015,
  author  = {Pal, Arnab},
  title   = {Diffusion in a Potential Landscape with Stochastic Resetting},
  journal = {Physical Review E},
  volume  = {91},
  pages   = {012113},
  year    = {2015},
  doi     = {10.1103/PhysRevE.91.012113}
}""",
    "pal2017": """\
@article{pal2017,
  author  = {Pal, Arnab and Reuveni, Shlomi},
  title   = {First Passage under Restart},
  journal = {Physical Review Letters},
  volume  = {118},
  pages   = {030603},
  year    = {2017},
  doi     = {10.1103/PhysRevLett.118.030603}
}""",
    "pal2019": """\
@article{pal2019,
  author  = {Pal, Arnab and Prasad, V. V.},
  title   = {First Passage under Stochastic Resetting in an Interval},
  journal = {Physical Review E},
  volume  = {99},
  pages   = {032123},
  year    = {2019},
  doi     = {10.1103/PhysRevE.99.032123}
}""",
    "pal2019landau": """\
@article{pal2019landau,
  author  = {Pal, Arnab and Prasad, V. V.},
  title   = {{Landau}-like Expansion for Phase Transitions in Stochastic Resetting},
  journal = {Physical Review Research},
  volume  = {1},
  pages   = {032001},
  year    = {2019},
  doi     = {10.1103/PhysRevResearch.1.032001},
  eprint  = {1904.07590}
}""",
    "patrini2017": """\
@inproceedings{patrini2017,
  author    = {Patrini, Giorgio and Rozza, Alessandro and Menon, Aditya Krishna and Nock, Richard
               and Qu, Lizhen},
  title     = {Making Deep Neural Networks Robust to Label Noise: A Loss Correction Approach},
  booktitle = {Conference on Computer Vision and Pattern Recognition},
  year      = {2017},
  eprint    = {1609.03683}
}""",
    "ray2019": """\
@article{ray2019,
  author  = {Ray, Somrita and Mondal, Debasish and Reuveni, Shlomi},
  title   = {P{\\'e}clet Number Governs Transition to Acceleratory Restart in Drift-Diffusion},
  journal = {Journal of Physics A: Mathematical and Theoretical},
  volume  = {52},
  pages   = {255002},
  year    = {2019},
  doi     = {10.1088/1751-8121/ab1fcc}
}""",
    "ray2020": """\
@article{ray2020,
  author  = {Ray, Somrita and Reuveni, Shlomi},
  title   = {Diffusion with Resetting in a Logarithmic Potential},
  journal = {The Journal of Chemical Physics},
  volume  = {152},
  pages   = {234110},
  year    = {2020},
  doi     = {10.1063/5.0010549}
}""",
    "redner2001": """\
@book{redner2001,
  author    = {Redner, Sidney},
  title     = {A Guide to First-Passage Processes},
  publisher = {Cambridge University Press},
  year      = {2001},
  doi       = {10.1017/CBO9780511606014}
}""",
    "reed2015": """\
@misc{reed2015,
  author = {Reed, Scott and Lee, Honglak and Anguelov, Dragomir and Szegedy, Christian and Erhan,
            Dumitru and Rabinovich, Andrew},
  title  = {Training Deep Neural Networks on Noisy Labels with Bootstrapping},
  year   = {2015},
  eprint = {1412.6596}
}""",
    "risken1989": """\
@book{risken1989,
  author    = {Risken, Hannes},
  title     = {The {Fokker}-{Planck} Equation: Methods of Solution and Applications},
  publisher = {Springer},
  edition   = {2},
  year      = {1989}
}""",
    "siegert1951": """\
@article{siegert1951,
  author  = {Siegert, Arnold J. F.},
  title   = {On the First Passage Time Probability Problem},
  journal = {Physical Review},
  volume  = {81},
  pages   = {617--623},
  year    = {1951},
  doi     = {10.1103/PhysRev.81.617}
}""",
    "siegmund1979": """\
@article{siegmund1979,
  author  = {Siegmund, David},
  title   = {Corrected Diffusion Approximations in Certain Random Walk Problems},
  journal = {Advances in Applied Probability},
  volume  = {11},
  pages   = {701--719},
  year    = {1979}
}""",
    "sparreandersen1953": """\
@article{sparreandersen1953,
  author  = {Sparre Andersen, Erik},
  title   = {On the Fluctuations of Sums of Random Variables},
  journal = {Mathematica Scandinavica},
  volume  = {1},
  pages   = {263--285},
  year    = {1953}
}""",
    "szegedy2016": """\
@inproceedings{szegedy2016,
  author    = {Szegedy, Christian and Vanhoucke, Vincent and Ioffe, Sergey and Shlens, Jonathon and
               Wojna, Zbigniew},
  title     = {Rethinking the Inception Architecture for Computer Vision},
  booktitle = {Conference on Computer Vision and Pattern Recognition},
  year      = {2016},
  eprint    = {1512.00567}
}""",
    "talfriedman2022": """\
@article{talfriedman2022,
  author  = {Tal-Friedman, Ofir and Roichman, Yael and Reuveni, Shlomi},
  title   = {Diffusion with Partial Resetting},
  journal = {Physical Review E},
  volume  = {106},
  pages   = {054116},
  year    = {2022},
  doi     = {10.1103/PhysRevE.106.054116}
}""",
    "thilak2022": """\
@misc{thilak2022,
  author = {Thilak, Vimal and Littwin, Etai and Zhai, Shuangfei and Saremi, Omid and
            Paiss, Roni and Susskind, Joshua},
  title  = {The Slingshot Mechanism: An Empirical Study of Adaptive Optimizers and the
            Grokking Phenomenon},
  year   = {2022},
  eprint = {2206.04817}
}""",
    "wang2019": """\
@inproceedings{wang2019,
  author    = {Wang, Yisen and Ma, Xingjun and Chen, Zaiyi and Luo, Yuan and Yi, Jinfeng and Bailey,
               James},
  title     = {Symmetric Cross Entropy for Robust Learning with Noisy Labels},
  booktitle = {International Conference on Computer Vision},
  year      = {2019},
  eprint    = {1908.06112}
}""",
    "wei2020": """\
@inproceedings{wei2020,
  author    = {Wei, Hongxin and Feng, Lei and Chen, Xiangyu and An, Bo},
  title     = {Combating Noisy Labels by Agreement: A Joint Training Method with Co-Regularization},
  booktitle = {Conference on Computer Vision and Pattern Recognition},
  year      = {2020},
  eprint    = {2003.02752}
}""",
    "wei2022": """\
@inproceedings{wei2022,
  author    = {Wei, Jiaheng and Zhu, Zhaowei and Cheng, Hao and Liu, Tongliang and Niu, Gang
               and Liu, Yang},
  title     = {Learning with Noisy Labels Revisited: A Study Using Real-World Human Annotations},
  booktitle = {International Conference on Learning Representations},
  year      = {2022},
  eprint    = {2110.12088}
}""",
    "weideman2007": """\
@article{weideman2007,
  author  = {Weideman, J. A. C. and Trefethen, L. N.},
  title   = {Parabolic and Hyperbolic Contours for Computing the {B}romwich Integral},
  journal = {Mathematics of Computation},
  volume  = {76},
  pages   = {1341--1356},
  year    = {2007},
  doi     = {10.1090/S0025-5718-07-01945-X}
}""",
    "xia2020": """\
@inproceedings{xia2020,
  author    = {Xia, Xiaobo and Liu, Tongliang and Han, Bo and Wang, Nannan and Gong, Mingming
               and Liu, Haifeng and Niu, Gang and Tao, Dacheng and Sugiyama, Masashi},
  title     = {Part-Dependent Label Noise: Towards Instance-Dependent Label Noise},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {33},
  year      = {2020},
  eprint    = {2006.07836}
}""",
    "xiao2017": """\
@misc{xiao2017,
  author = {Xiao, Han and Rasul, Kashif and Vollgraf, Roland},
  title  = {{Fashion-MNIST}: A Novel Image Dataset for Benchmarking Machine Learning Algorithms},
  year   = {2017},
  eprint = {1708.07747}
}""",
    "yu2019": """\
@inproceedings{yu2019,
  author    = {Yu, Xingrui and Han, Bo and Yao, Jiangchao and Niu, Gang and Tsang, Ivor and
               Sugiyama, Masashi},
  title     = {How Does Disagreement Help Generalization against Label Corruption?},
  booktitle = {International Conference on Machine Learning},
  year      = {2019},
  eprint    = {1901.04215}
}""",
    "zhang2018gce": """\
@inproceedings{zhang2018gce,
  author    = {Zhang, Zhilu and Sabuncu, Mert R.},
  title     = {Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {31},
  year      = {2018},
  eprint    = {1805.07836}
}""",
    "zhang2018mixup": """\
@inproceedings{zhang2018mixup,
  author    = {Zhang, Hongyi and Cisse, Moustapha and Dauphin, Yann N. and Lopez-Paz, David},
  title     = {mixup: Beyond Empirical Risk Minimization},
  booktitle = {International Conference on Learning Representations},
  year      = {2018},
  eprint    = {1710.09412}
}""",
}


def bibtex(keys: Iterable[str]) -> str:
    """BibTeX entries, one after the other.

    Parameters
    ----------
    keys : iterable of str
        Keys such as ``"evans2011"``.

    Raises
    ------
    DomainError
        If a key is unknown.

    Examples
    --------
    >>> print(bibtex(["evans2011"]).splitlines()[0])
    @article{evans2011,
    """
    keys = list(keys)
    for key in keys:
        if key not in _ENTRIES:
            raise DomainError("keys", key, "one of " + ", ".join(sorted(_ENTRIES)))
    return "\n\n".join(_ENTRIES[key] for key in keys)
